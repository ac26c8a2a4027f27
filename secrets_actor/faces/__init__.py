"""The faces: all that other processes meet. A listener accepts connections on one address, and hands each request to
the face that serves it: the AWS API, the agent's API, health, metrics, control."""
