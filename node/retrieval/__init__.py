"""Studies fetched from other systems, by hand or on a schedule: asked for, counted, and asked for again where short."""
