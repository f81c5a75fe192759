"""From input files to sealed datasets: read, check, sort, render, seal, publish, verify, sweep."""
