"""A bill as people get it: what it says (`contents`), in which words (`texts`), as a page and as a PDF (`paper`)."""
