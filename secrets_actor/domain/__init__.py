"""What a secret is: names, masked values, operations, answers, errors, ports. No actors. PURE."""
