"""How much label noise weak labels may have, by formula and by simulation."""
