"""The smallest package: one executor, one step, one run."""

from stepwell import Package, RunBuilder, connect

hello = Package("hello")


@hello.executor("hello.greet")
def greet(name: str) -> str:
    return f"Hello, {name}!"


@hello.entrypoint
def start(run: RunBuilder, name: str) -> None:
    run.step(greet, name, id="greet")


if __name__ == "__main__":
    with connect(packages=[hello]) as runtime:
        run = runtime.start_run("hello", "world")
        runtime.drain(run.id)
        print(runtime.result(run.id, "greet").value)
