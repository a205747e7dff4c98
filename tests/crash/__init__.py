"""The crash matrix: SIGKILL at every step of a job's life, and what is then still true."""
