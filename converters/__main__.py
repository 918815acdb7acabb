"""`python -m converters COMMAND ...` is `slim-resnet COMMAND ...`."""

from converters.cli.commands import main

if __name__ == "__main__":
    main()
