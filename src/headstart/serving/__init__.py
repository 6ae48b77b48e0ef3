"""Who it answers: the web application, its protocols, and the server around it. Needs no torch."""
