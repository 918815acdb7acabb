"""What today's libraries lack, written anew: each module is named after what it replaces."""
