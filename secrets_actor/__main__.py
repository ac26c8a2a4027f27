"""The entry of `python -m secrets_actor`: runs the command line."""

from secrets_actor.cli.main import main

if __name__ == "__main__":
    main()
