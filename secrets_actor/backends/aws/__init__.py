"""The AWS Secrets Manager backend, behind the Backend port. Start reading at `backend.aws_backend_factory`."""
