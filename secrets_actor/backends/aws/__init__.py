"""AWS Secrets Manager behind the Backend port. The way in is `backend.aws_backend_factory`."""
