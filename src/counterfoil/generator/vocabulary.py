"""Words for names, products and meters. Every company here is invented; domains are under `.example`."""

from __future__ import annotations

# Country and tax in thousandths of the subtotal.
COUNTRIES: tuple[tuple[str, int], ...] = (
    ("DE", 190), ("FR", 200), ("NL", 210), ("SE", 250), ("PL", 230), ("US", 0), ("CH", 81), ("GB", 200),
    ("JP", 100), ("GR", 240), ("BR", 0), ("CZ", 210),
)  # fmt: skip

FIRST_WORDS: tuple[str, ...] = (
    "Adatum", "Alpine", "Baldwin", "Bellows", "Blue Yonder", "City Power", "Coho", "Contoso", "Fabrikam",
    "Fourth Coffee", "Graphic", "Harbour", "Humongous", "Lakeside", "Litware", "Lucerne", "Margie's", "Munson's",
    "Nod", "Northwind", "Proseware", "Relecloud", "Southridge", "Tailspin", "Trey", "VanArsdel", "Wide World",
    "Wingtip", "Woodgrove",
)  # fmt: skip

SECOND_WORDS: tuple[str, ...] = (
    "Logistics", "Retail", "Insurance", "Dairy", "Energy", "Research", "Publishing", "Foundry", "Clinics",
    "Software", "Shipping", "Schools", "Timber", "Textiles", "Robotics", "Airlines",
)  # fmt: skip

LEGAL_FORMS: tuple[str, ...] = ("GmbH", "AG", "Ltd", "Inc.", "B.V.", "S.A.", "AB", "LLC", "s.r.o.", "Sp. z o.o.")

# Names that break a program which treats text as bytes, as CSV or as ASCII.
FOREIGN_NAMES: tuple[str, ...] = (
    "Müller & Söhne", "Æblegård Mejeri", "Łódzka Spółka Wędliniarska", "Crêperie Île-de-Bréhat", "Žluťoučký kůň",
    "株式会社さくら商事", "서울정밀", "Ελληνικά Ναυπηγεία", "Мельница «Заря»", "شركة النخيل", "חברת הזית",
    "Ñandú Ediciones",
    "São João Máquinas", "Pizza 🍕 Napoli", "Österström & Åkesson", "ไทยสยามการค้า",
)  # fmt: skip

AWKWARD_NAMES: tuple[str, ...] = (
    'The "Quoted" Bakery, Ltd.', "Back\\slash Engineering", "Smith, Jones & Partners, LLP", "O'Brien's 50% Off; Inc.",
    "A/B Test <Labs> & Co", "{Curly} [Square] Design", "Semi;Colon | Pipe", "#Hash ?Query =Sign",
)  # fmt: skip

PARTNER_NAMES: tuple[str, ...] = ("Fabrikam Distribution", "Woodgrove Cloud Marketplace", "Lumière Nuages Grossiste")

REGIONS: tuple[tuple[str, str], ...] = (
    ("EU West", "westeurope"), ("EU North", "northeurope"), ("DE West Central", "germanywestcentral"),
    ("FR Central", "francecentral"), ("CH North", "switzerlandnorth"), ("US East", "eastus"),
    ("US West 2", "westus2"), ("UK South", "uksouth"), ("JA East", "japaneast"), ("", ""),
)  # fmt: skip

# Category, sub-category, meter name, unit, resource provider, resource type, name of a resource,
# decimals before the first digit of the price, kind of additional info.
METER_FAMILIES: tuple[tuple[str, str, str, str, str, str, str, int, str], ...] = (
    ("Virtual Machines", "Dv5 Series", "D{n} v5", "1 Hour", "Microsoft.Compute", "virtualMachines", "vm", 0, "vm"),
    ("Virtual Machines", "Esv5 Series", "E{n}s v5", "1 Hour", "Microsoft.Compute", "virtualMachines", "sql", -1, "vm"),
    ("Virtual Machines Licenses", "Windows Server", "{n} vCPU VM License", "1 Hour", "Microsoft.Compute",
     "virtualMachines", "win", 1, "vm"),
    ("Storage", "Premium SSD Managed Disks", "P{n} LRS Disk", "1/Month", "Microsoft.Compute", "disks", "disk", -1, ""),
    ("Storage", "Tiered Block Blob", "Hot LRS Data Stored, tier {n}", "1 GB/Month", "Microsoft.Storage",
     "storageAccounts", "st", 1, ""),
    ("Storage", "Tiered Block Blob", "Hot Write Operations, tier {n}", "10K", "Microsoft.Storage",
     "storageAccounts", "log", 3, ""),
    ("Bandwidth", "Inter-Region", "Data Transfer Out, zone {n}", "1 GB", "Microsoft.Network", "publicIPAddresses",
     "ip", 1, ""),
    ("Virtual Network", "Peering", "Ingress, zone {n}", "1 GB", "Microsoft.Network", "virtualNetworks", "vnet", 2, ""),
    ("SQL Database", "Single General Purpose - Compute Gen5", "{n} vCore", "1 Hour", "Microsoft.Sql", "servers",
     "sqldb", 0, "scale"),
    ("Azure Cosmos DB", "Azure Cosmos DB autoscale", "100 RU/s, pack {n}", "1/Hour", "Microsoft.DocumentDB",
     "databaseAccounts", "cosmos", 2, "scale"),
    ("Azure App Service", "Premium v3 Plan", "P{n}v3 App", "1 Hour", "Microsoft.Web", "serverfarms", "plan", 0,
     "scale"),
    ("Functions", "Premium", "vCPU Duration, set {n}", "1 Hour", "Microsoft.Web", "sites", "func", 1, ""),
    ("Log Analytics", "Analytics Logs", "Data Ingestion, tier {n}", "1 GB", "Microsoft.OperationalInsights",
     "workspaces", "law", -1, ""),
    ("Azure Kubernetes Service", "Standard", "Uptime SLA, cluster size {n}", "1 Hour", "Microsoft.ContainerService",
     "managedClusters", "aks", 1, ""),
    ("Cognitive Services", "Azure OpenAI", "Input Tokens, model {n}", "1K", "Microsoft.CognitiveServices", "accounts",
     "ai", 3, "tokens"),
    ("Key Vault", "Standard", "Operations, set {n}", "10K", "Microsoft.KeyVault", "vaults", "kv", 2, ""),
)  # fmt: skip

# Title, product id, monthly list price in cents, term, billing frequency.
LICENCES: tuple[tuple[str, str, int, str, str], ...] = (
    ("Microsoft 365 Business Premium", "CFQ7TTC0LCHC", 2200, "One-Year commitment for monthly/yearly billing",
     "Monthly"),
    ("Microsoft 365 E3", "CFQ7TTC0LFLX", 3900, "One-Year commitment for monthly/yearly billing", "Monthly"),
    ("Microsoft 365 E5", "CFQ7TTC0LFLZ", 5700, "Three-Year commitment for monthly/yearly billing", "Monthly"),
    ("Exchange Online (Plan 1)", "CFQ7TTC0LH16", 400, "One-Month commitment for monthly/yearly billing", "Monthly"),
    ("Power BI Premium Per User", "CFQ7TTC0HL8W", 2400, "One-Year commitment for monthly/yearly billing", "Monthly"),
    ("Visio Plan 2", "CFQ7TTC0HD32", 1650, "One-Year commitment for monthly/yearly billing", "Annual"),
    ("Dynamics 365 Sales Enterprise", "CFQ7TTC0LFDZ", 10500, "One-Year commitment for monthly/yearly billing",
     "Monthly"),
    ("Enterprise Mobility + Security E3", "CFQ7TTC0LHT4", 1060, "One-Month commitment for monthly/yearly billing",
     "Monthly"),
    ("Windows 365 Enterprise 2 vCPU, 8 GB", "CFQ7TTC0HHS9", 4100, "One-Month commitment for monthly/yearly billing",
     "Monthly"),
    ("Teams Rooms Pro – Größe „M“", "CFQ7TTC0QW5P", 4000, "One-Year commitment for monthly/yearly billing", "Monthly"),
)  # fmt: skip

TAG_KEYS: tuple[str, ...] = ("env", "costcenter", "owner", "app", "Kostenstelle", "project", "hidden-link:/app")
TAG_VALUES: tuple[str, ...] = (
    "prod", "dev", "test", "CC-1042", "CC-7731", "4711", "Zoë", "josé@contoso.example", "R&D", "alpha,beta",
    'say "yes"', "C:\\apps", "東京", "true", "",
)  # fmt: skip
