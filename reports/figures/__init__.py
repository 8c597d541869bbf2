"""Plain plotly figures, one module a picture; users restyle them as any plotly figure."""
