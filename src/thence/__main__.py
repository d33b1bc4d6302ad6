"""``python -m thence`` is the command ``thence``."""

from thence.cli.main import main

if __name__ == "__main__":
    main()
