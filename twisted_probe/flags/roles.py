"""Role accounts: local parts that name an office, not a person.

Knows RFC 2142 and the words that sites use beside it; not whether somebody reads them.
"""

from __future__ import annotations

#: RFC 2142 sections 3 to 5; and section 6, which gives each mailing list one that ends so.
RFC_2142 = frozenset(
    (
        *("info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster"),
        *("hostmaster", "usenet", "news", "webmaster", "www", "uucp", "ftp"),
    )
)
REQUEST = "-request"

#: What sites call their offices, in the languages that `verdict/rules.toml` reads. No word is
#: here that is also a name (mark, bill), or that people take for themselves (mail, me, hi).
CUSTOM = frozenset(
    (
        # The machine's own, and those that nobody reads.
        *("root", "admin", "administrator", "sysadmin", "mailer-daemon", "daemon", "nobody"),
        *("noreply", "no-reply", "donotreply", "do-not-reply", "bounce", "bounces", "spam"),
        # Whoever opens the mail.
        *("contact", "contacts", "contactus", "hello", "help", "helpdesk", "service", "services"),
        *("customerservice", "customercare", "feedback", "office", "enquiries"),
        *("enquiry", "inquiries", "inquiry", "team", "staff", "reception", "webadmin"),
        # Departments.
        *("accounting", "accounts", "billing", "invoice", "invoices", "finance", "payroll"),
        *("orders", "order", "purchasing", "shop", "store", "booking", "bookings"),
        *("reservations", "hr", "jobs", "job", "careers", "career", "recruiting", "recruitment"),
        *("press", "media", "pr", "legal", "privacy", "dpo", "gdpr", "compliance", "it", "tech"),
        *("dev", "ops", "devops", "dns", "newsletter", "subscribe", "unsubscribe", "editor"),
        # German, French, Spanish, Portuguese, Italian, Polish, Czech.
        *("kontakt", "buero", "kundenservice", "vertrieb", "buchhaltung"),
        *("rechnung", "bewerbung", "impressum", "datenschutz", "bestellung"),
        *("accueil", "commercial", "comptabilite", "secretariat", "recrutement", "rh"),
        *("contacto", "ventas", "comercial", "contabilidad", "administracion", "pedidos"),
        *("contato", "vendas", "financeiro", "atendimento", "faleconosco", "suporte"),
        *("commerciale", "amministrazione", "segreteria", "ufficio", "contabilita", "ordini"),
        *("biuro", "sekretariat", "sprzedaz", "rekrutacja", "faktury", "obchod", "fakturace"),
    )
)

_ROLES = RFC_2142 | CUSTOM


def is_role_account(local: str) -> bool:
    """Whether a local part names an office, in any case, and whatever stands behind a "+" in it
    (RFC 5233 calls that the detail)."""
    name = local.partition("+")[0].lower()
    return name in _ROLES or (name.endswith(REQUEST) and name != REQUEST)
