"""Local exchangers of all tempers, and a name server that knows them: nothing leaves the machine.

For `mailprobe demo`, for our tests and for those of embedders. Three ways in: `town.Town` puts up
a whole street of them, `exchanger.ExchangerFactory` is one exchanger of one `temper.Temper`, and
`names.NameServer` answers the DNS from a dictionary.
"""
