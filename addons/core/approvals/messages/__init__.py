"""What is said of an approval outside ddgate: signed webhooks and Slack messages."""
