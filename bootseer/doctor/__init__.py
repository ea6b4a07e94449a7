"""What of this machine is right for Bootseer, what is not, and how to mend it."""
