"""`python -m counterfoil` is `counterfoil`."""

from counterfoil.cli import main

if __name__ == "__main__":
    main(prog_name="counterfoil")
