"""``python -m thence`` is the command ``thence``."""

from thence.commands.main import main

if __name__ == "__main__":
    main()
