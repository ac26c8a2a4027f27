"""The secret itself: names, masked values, operations, answers, errors, ports. It knows no actors. PURE."""
