"""What people look at: screens, figures, pages, comparisons."""
