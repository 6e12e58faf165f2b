"""Tables, migrations, and the shape that each database says it has."""
