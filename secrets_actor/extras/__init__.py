"""What ties the service to other libraries: each module wants the extra of its name, and is imported by its users."""
