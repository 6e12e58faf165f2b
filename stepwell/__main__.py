"""`python -m stepwell` is the same as `stepwell`."""

from stepwell.cli.main import main

if __name__ == "__main__":
    main()
