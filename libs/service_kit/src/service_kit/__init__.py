"""What every service needs once, so that no service writes it twice."""
