"""Who is calling: tokens checked and issued, keys, audiences, and certificates for https."""
