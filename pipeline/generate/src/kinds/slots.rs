//! The words that fill the slots of the templates. No word of the vocabulary that would change a query's type may stand here.

/// The choices of a slot.
pub(super) fn choices(slot: &str) -> Option<&'static [&'static str]> {
    SLOTS.iter().find(|(name, _)| *name == slot).map(|(_, choices)| *choices)
}

const SLOTS: &[(&str, &[&str])] = &[
    (
        "activity",
        &["hiking", "chess", "cycling", "the dentist", "piano practice", "gardening", "yoga", "pottery", "sailing", "bird watching"],
    ),
    (
        "animal",
        &["a cat", "a penguin", "an otter", "two llamas", "a parrot", "a hedgehog", "an old dog", "a goat", "seven owls", "a whale"],
    ),
    (
        "city",
        &[
            "Berlin", "Lisbon", "Osaka", "Nairobi", "Montreal", "Oslo", "Lima", "Kraków", "Hanoi", "Porto", "Denver", "Zürich", "Accra",
            "Perth",
        ],
    ),
    ("code", CODE),
    ("company", &["Northwind", "Acme", "Globex", "Initech", "Umbrella Foods", "Blue Harbor", "Kestrel Labs", "Vesta Energy", "Tern & Co"]),
    ("currency", &["euros", "dollars", "pounds", "yen", "francs", "zloty", "pesos", "rupees"]),
    (
        "field",
        &["logistics", "customer support", "payroll", "hospital care", "retail", "public transport", "farming", "insurance", "schools"],
    ),
    ("host", &["%prefix%-%number%", "%prefix%-%number%.%region%"]),
    ("language", &["python", "rust", "javascript", "typescript", "python"]),
    ("metric", &["cpu usage", "memory usage", "disk usage", "network latency", "system metrics", "cpu temperature", "disk latency"]),
    (
        "pattern",
        &[
            "phone numbers",
            "dates like 2026-01-%number%",
            "nested brackets",
            "e-mail addresses",
            "the longest common prefix",
            "duplicate words",
            "prime factors",
        ],
    ),
    ("person", &["Ana", "Bruno", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hana", "Ines", "Jonas", "Kofi", "Leila", "Mateo", "Noor"]),
    ("prefix", &["web", "db", "cache", "gpu", "edge", "build", "mail", "queue"]),
    (
        "product",
        &["copper", "a train ticket", "olive oil", "a gallon of diesel", "coffee beans", "a used bike", "wheat", "a month of rent"],
    ),
    ("region", &["eu-west", "eu-north", "us-east", "us-central", "ap-south", "sa-east"]),
    ("service", &["billing", "search", "checkout", "auth", "reporting", "mail", "ingest", "payments", "inventory", "catalog"]),
    (
        "thing_in_code",
        &[
            "a linked list",
            "a list of tuples",
            "nested dictionaries",
            "a stream of rows",
            "a binary tree",
            "orders",
            "invoices",
            "sensor readings",
            "user ids",
        ],
    ),
    (
        "topic",
        &[
            "carbon pricing",
            "remote work",
            "open data",
            "edge computing",
            "four-day weeks",
            "shared ownership",
            "vertical integration",
            "lean inventory",
            "subsidies",
            "automation",
            "rent control",
            "model distillation",
        ],
    ),
    ("weekday", &["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]),
];

const CODE: &[&str] = &[
    "```python\ndef total(rows):\n    result = 0\n    for row in rows:\n        if row[\"kind\"] == \"%service%\":\n            result += row[\"amount\"] * %number%\n    return result\n```",
    "```rust\nfn longest(words: &[String]) -> Option<&String> {\n    words.iter().filter(|w| w.len() > %number%).max_by_key(|w| w.len())\n}\n```",
    "```javascript\nconst wait = (ms) => new Promise((done) => setTimeout(done, ms));\nasync function poll(url) {\n  while (!(await fetch(url)).ok) await wait(%number%);\n}\n```",
    "```sql\nSELECT customer_id, count(*) AS n\nFROM %service%_orders\nWHERE created_at > now() - interval '%number% days'\nGROUP BY customer_id HAVING count(*) > %number%;\n```",
    "```go\nfunc (p *Pool) Get() *Conn {\n\tp.mu.Lock()\n\tdefer p.mu.Unlock()\n\tif len(p.free) < %number% {\n\t\treturn p.dial(\"%host%\")\n\t}\n\treturn p.pop()\n}\n```",
    "```python\nclass Cache:\n    def __init__(self, size=%number%):\n        self.items, self.size = {}, size\n    def get(self, key):\n        return self.items.setdefault(key, self.load(key))\n```",
    "```bash\nfor host in %host% %host%; do\n  ssh \"$host\" systemctl is-active %service% || echo \"$host down\"\ndone\n```",
];
