"""What a secret is: names, masked values, operations, answers, errors, ports. Standard library only, no actors."""
