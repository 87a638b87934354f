"""`semihand gate-study`: does the gate know which fine-tunings help?"""
