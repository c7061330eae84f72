"""Who uses this CrossView, how they prove it, and what each may see."""
