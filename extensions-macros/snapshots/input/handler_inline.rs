/// Keeps the stock.
#[extension_handler(OrderPlaced, priority = 10, tags = ["stock"])]
#[derive(Debug)]
struct UpdateInventory;
