"""The pieces of the report page: HTML, figures in SVG, what each kind of folder shows. No JAX, no matplotlib."""
