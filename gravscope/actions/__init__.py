"""What gravscope does: a verb a file. Each returns data or raises a GravscopeError; none prints or exits."""
