"""Welcomes a new member, waits a day for the confirmation, reminds, and waits some more.

While it waits, there is only a row in the store: no thread, no slot, no process.
"""

from datetime import timedelta

from pydantic import BaseModel

from stepwell import Package, StepContext, VirtualClock, connect

onboarding = Package("onboarding", title="Onboarding of members")

DAY = timedelta(days=1)


class Member(BaseModel):
    name: str
    email: str


class Outcome(BaseModel):
    confirmed: bool
    reminders: int


def send_mail(to: str, subject: str) -> None:
    print(f"mail to {to}: {subject}")


@onboarding.workflow
def welcome(step: StepContext, member: Member) -> Outcome:
    step.do("welcome", send_mail, member.email, f"Welcome, {member.name}! Please confirm.")
    reminders = 0
    confirmed = step.receive("confirmed", bool, timeout=DAY, default=False)
    if not confirmed:
        step.do("remind", send_mail, member.email, f"{member.name}, you have not confirmed yet.")
        reminders = 1
        confirmed = step.receive("confirmed", bool, timeout=6 * DAY, default=False)
    if confirmed:
        step.do("open", send_mail, member.email, "Your account is open.")
    else:
        step.do("give up", send_mail, member.email, "Your registration has lapsed.")
    step.record("members", member.email, {"name": member.name, "confirmed": confirmed})
    return Outcome(confirmed=confirmed, reminders=reminders)


def main() -> None:
    """Play two days on a clock that is moved by hand."""
    clock = VirtualClock()
    with connect("memory://", packages=[onboarding], clock=clock) as runtime:
        run = runtime.start_run(welcome, Member(name="Ann", email="ann@example.com"))
        runtime.run_once()
        print("… a day goes by")
        clock.advance(DAY)
        runtime.run_once()
        print("… Ann clicks the link")
        runtime.send(run.id, "confirmed", payload=True)
        runtime.run_once()
        print(run.result())


if __name__ == "__main__":
    main()
