"""What an author of views works with: a scaffold, a build, a test in the server's own host, a bench."""
