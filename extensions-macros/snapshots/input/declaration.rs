declare_handler!(OrderPlaced => "generate_invoice", queue = "documents", max_attempts = 5, tags = ["pdf"]);
