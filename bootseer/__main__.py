"""`python -m bootseer` is the `bootseer` command."""

from bootseer.cli.main import main

if __name__ == "__main__":
    main()
