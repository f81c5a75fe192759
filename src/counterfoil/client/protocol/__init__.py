"""What is sent and what comes back, as plain values and pure functions. Nothing here touches network, disk or clock."""
