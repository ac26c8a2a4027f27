"""What a program may want beside it, each with a library of its own: pip install 'secrets-actor[prometheus]'."""
