"""AWS Secrets Manager behind the Backend port. The way in is `backend.kit`."""
