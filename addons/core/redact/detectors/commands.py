"""Passwords among the arguments of commands, in calls of programs and in the settings of devices."""

# ruff: noqa: E501 - a table of patterns

from __future__ import annotations

from addons.core.redact.detectors.detector import COMMAND, Detector
from addons.core.redact.detectors.names import can_be_password, is_dense
from addons.core.redact.detectors.randomness import is_wordless
from addons.core.redact.detectors.vendors import fill, hex_, shaped, upper

_ARGUMENT = r"""(?:"[^"\r\n]{0,200}"|'[^'\r\n]{0,200}'|[A-Za-z0-9_.$>:\-\[\]]{1,80})\s{0,20},\s{0,20}"""
_QUOTED = r"""["']([^"'\\\r\n]{4,200})["']"""
# A line of a shell that goes on in the next.
_ON = r"(?:[^\n|;]|\\\r?\n)"
# Arguments in a line, or each in quotes in a list, which may stand in a string itself.
_BETWEEN = r"[\s\"',\\]{1,16}"
_FEW = r"[^\n|;]{0,160}?"
_NEXT = r"(?:[^\n]|\\\r?\n)"


def _is_argument(value: bytes) -> bool:
    return can_be_password(value) and not value.replace(b":", b"").isdigit() and value[:1] not in b"-/*"


def is_no_word(value: bytes) -> bool:
    """For a password after what may go on as a sentence."""
    return can_be_password(value) and (not value.isalpha() or is_wordless(value))


_SHELL: tuple[Detector, ...] = (
    shaped(
        COMMAND,
        r"(?:\b(?:mysql|mysqldump|mysqladmin|mariadb|mysqlsh)\b[^\n|;]{0,120}? -p|\bsshpass +-p ?"
        r"|\b(?:sqlcmd|bcp|mosquitto_pub|mosquitto_sub)\b[^\n|;]{0,120}? -P +|\b(?:(?i:psexec(?:64)?(?:\.exe)?)|snowsql|mongosh|mongo)\b"
        r"[^\n|;]{0,120}? -p +|\bsmbclient\b[^\n|;]{0,120}? -U *[^\s%]{1,64}%|\bsqlplus +[^\s/]{1,64}/"
        r"|\b(?:requirepass|masterauth) +|\baws configure set \S{0,40}(?:secret|token)\S{0,20} +|\bvault login +"
        r"|\bgit config (?:--global )?[^\s=]{1,60}(?:token|password) +|\bauth login --with-token +"
        r"|\bsetx +\S{0,40}(?i:token|password|secret|key) +|\b(?:password|secret) [057] "
        rf"|\bredis-cli\b[^\n|;]{{0,80}}? -a +|\b(?:curl|wget|http)\b{_ON}{{0,200}}?\s(?:-u|--user|-U|--proxy-user)[ =]?"
        r"['\"]?[^\s:'\"]{1,64}:|\b(?:docker|helm|podman|az|ldapsearch)\b[^\n|;]{0,120}? (?:-p|-w) +)"
        r"['\"]?([^\s'\"\\]{4,128})",
        rf"(?:mysql|mariadb|sshpass|redis-cli|docker|helm|podman|ldapsearch|\baz[ \"'\\]|sqlcmd|\bbcp[ \"'\\]"
        r"|mosquitto_|(?i:psexec)|snowsql|mongo|smbclient)[^\n]{0,200}?[ \"']-[pauUwP-]"
        rf"|(?:curl|wget){_NEXT}{{0,200}}?(?:[\s\"']|\\n)-[uU-]"
        rf"|sqlplus{_BETWEEN}|requirepass |masterauth "
        rf"|aws{_BETWEEN}configure{_BETWEEN}set{_BETWEEN}|vault{_BETWEEN}login{_BETWEEN}|git{_BETWEEN}config{_BETWEEN}"
        rf"|--with-token |setx{_BETWEEN}|(?:password|secret) [057] ",
        (b" ",),
        (
            "sqlcmd -S db -U sa -P Ny8fVq3x -Q 1",
            "smbclient //h/s -U till%Ny8fVq3x",
            "sqlplus till/Ny8fVq3x@STK",
            "requirepass Ny8fVq3x",
            "aws configure set aws_secret_access_key Ny8fVq3x",
            "username till password 7 0822455D0A16",
            "mysqldump -u batch -pNy8fVq3 stock",
            "sshpass -p 'abc1234' ssh h",
            "curl -u svc:s3cr3t https://x",
            "curl -X POST https://x \\\n  --user 'svc:s3cr3t' \\\n  -d y",
            "CMD /C PSEXEC \\\\10.0.0.9 -u till -p Ny8fVq3x CMD",
        ),
        (
            "mysqldump -u batch stock",
            "curl -s https://x",
            "docker run -p 8080:80 x",
            "sqlplus -v",
            "vault login -method=oidc",
            "git config --global user.name till",
            "curl -s https://x\nps -u till:x",
        ),
        group=1,
        check=_is_argument,
        structural=True,
    ),
    shaped(
        COMMAND,
        rf"(?:\b(?:htpasswd|mosquitto_passwd)\s+(?:-\S+\s+){{0,3}}-[A-Za-mo-z]*b[A-Za-mo-z]*\s+(?:-\S+\s+){{0,3}}[^\s\-]\S*\s+\S+\s+"
        r"|\bhtpasswd\s+-(?:n[A-Za-z]*b|b[A-Za-z]*n)[A-Za-z]*\s+(?:-\S+\s+){0,3}[^\s\-]\S*\s+"
        rf"|\b(?:7z[arz]?|unrar)\s{_FEW}\s-h?p|\b(?:unzip|ipmitool)\s{_FEW}\s-P\s+"
        r"|\brabbitmqctl\s+(?:add_user|change_password|authenticate_user)\s+\S+\s+"
        r"|\bnpm\s+(?:config\s+)?set\s+\S{0,100}(?:_authToken|_password|_auth)[\s=]+"
        rf"|\b(?:plink|pscp|psftp)(?:\.exe)?\s{_FEW}\s-pw\s+|\blftp\s{_FEW}-u\s+[^\s,]{{1,64}},"
        rf"|\bxfreerdp\s{_FEW}\s/p:|\bmc\s+alias\s+set\s+\S+\s+\S+\s+\S+\s+|\btwine\s+upload\s{_FEW}\s-p\s+)"
        r"['\"]?([^\s'\"\\]{4,128})",
        rf"(?:htpasswd|mosquitto_passwd){_BETWEEN}-|(?:7z[arz]?(?: |\\*[\"'],)|unrar{_BETWEEN})[^\n]{{0,160}}?-h?p"
        rf"|(?:unzip|ipmitool){_BETWEEN}[^\n]{{0,160}}?[ \"']-P|rabbitmqctl{_BETWEEN}(?:add_user|change_pass|authenticate)"
        rf"|npm{_BETWEEN}(?:config{_BETWEEN})?set{_BETWEEN}|(?:plink|pscp|psftp)[^\n]{{0,160}}?[ \"']-pw{_BETWEEN}"
        rf"|lftp{_BETWEEN}[^\n]{{0,160}}?-u{_BETWEEN}|xfreerdp{_BETWEEN}[^\n]{{0,160}}?/p:"
        rf"|alias{_BETWEEN}set{_BETWEEN}|twine{_BETWEEN}upload",
        (b" ",),
        (
            "htpasswd -b -c /etc/users till Ny8fVq3x",
            "htpasswd -nbB till Ny8fVq3x",
            "7z a -pNy8fVq3x b.7z /srv",
            "unzip -o -P Ny8fVq3x b.zip",
            "rabbitmqctl change_password till Ny8fVq3x",
            "npm config set //npm.example.net/:_authToken Ny8fVq3x",
            "plink -ssh till@h -pw Ny8fVq3x",
            "lftp -u till,Ny8fVq3x sftp://h",
            "xfreerdp /v:h /u:till /p:Ny8fVq3x",
            "mc alias set stock https://h.example.net till Ny8fVq3x",
            "twine upload -u till -p Ny8fVq3x dist/x",
        ),
        (
            "htpasswd -B /etc/users till",
            "7z x b.7z -y",
            "unzip -o b.zip -d /srv",
            "rabbitmqctl list_users",
            "npm config set registry https://npm.example.net",
            "lftp -u till sftp://h",
            "mc alias set stock https://h.example.net",
        ),
        group=1,
        check=_is_argument,
        structural=True,
    ),
    shaped(
        COMMAND,
        r"(?i:\bnet use [^\n|;]{0,160}?/u(?:ser)?:[^\s]{1,80}\s+|\bschtasks\b[^\n|]{0,300}?/rp\s+"
        r"|\bcmdkey\b[^\n|;]{0,160}?/pass:|\bwmic\b[^\n|;]{0,160}?/password:)['\"]?([^\s'\"]{4,128})",
        r"(?i:(?:\b|\\n)net use |\bschtasks|\bcmdkey|\bwmic )",
        (b"/",),
        (
            "net use Z: \\\\srv\\share /user:STOCK\\till Ny8fVq3x",
            'schtasks /create /tn "b" /ru till /rp Ny8fVq3x',
            "cmdkey /add:srv /user:till /pass:Ny8fVq3x",
        ),
        ("net use Z: \\\\srv\\share", "schtasks /create /tn b /ru till /rp *", "cmdkey /list"),
        group=1,
        check=_is_argument,
        structural=True,
    ),
    shaped(
        COMMAND,
        r"(?i:\bnet user +[^\s/]{1,64}\s+|\bnet use +(?:[a-z]: +|\* +)?\\\\[^\s]{1,200}\s+)['\"]?([^\s'\"/]{4,128})",
        r"(?i:net use)",
        (b"net ", b"NET ", b"Net "),
        ("net user till Ny8f@Vq3x /add", "net use * \\\\srv\\share Ny8f@Vq3x /user:till"),
        ("net user till /add", "net user growth exceeded plans", "net use Z: /delete"),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "vault-unseal-key",
        r"(?i:\bunseal key(?: share)?(?: [0-9]{1,2})?(?: \([a-z0-9]{1,12}\))?:|\boperator unseal)\s+([A-Za-z0-9+/]{43,44}=?|[0-9a-f]{64,66})",
        r"(?i:unseal key|operator unseal)",
        (b"nseal",),
        ("Unseal Key 2: " + fill(43) + "=", "vault operator unseal " + hex_(66)),
        ("Unseal Key 2: is missing", "vault operator unseal -status", "Unseal Progress 2/3"),
        group=1,
        structural=True,
    ),
    shaped(
        "bundler-credential",
        r"\bBUNDLE_[A-Z0-9_]{4,80}[\"']?\s?[=:]\s?[\"']?([A-Za-z0-9_.\-]{1,64}:[A-Za-z0-9_\-]{8,64})",
        "BUNDLE_",
        (b"BUNDLE_",),
        (
            f'export BUNDLE_GEMS__STOCK__COM="{hex_(8)}:{hex_(8)}"',
            "BUNDLE_ENTERPRISE__STOCK__COM: till:Ny8fVq3x",
        ),
        ("BUNDLE_PATH=/srv/vendor", "BUNDLE_WITHOUT=development:integration", "BUNDLE_JOBS: 4"),
        group=1,
        check=lambda value: is_dense(value.partition(b":")[2]),
        structural=True,
    ),
    shaped(
        "netrc",
        r"\bmachine\s+[^\s]{1,253}\s+login\s+[^\s]{1,128}\s+password\s+([^\s\"'`]{4,256})",
        r"machine [^\s\\\"]{1,100}(?:\s|\\[nrt]){1,8}login",
        (b"machine",),
        (
            "machine code.example.net login till password Ny8fVq3",
            "machine h.example.net\n  login till\n  password Ny8fVq3\n",
        ),
        ("the machine learning login page", "machine h login till"),
        group=1,
        check=can_be_password,
        structural=True,
    ),
)

_DEVICES: tuple[Detector, ...] = (
    shaped(
        "snmp-community",
        r"\bsnmp-server community +(?:[0-9] +)?([^\s\"'\\]{4,64})",
        r"snmp-server community ",
        (b"snmp-server",),
        ("snmp-server community Ny8fVq3x RW 99", "snmp-server community Ny8fVq3x RO"),
        ("snmp-server community", "snmp-server community <string> RO", "snmp-server enable traps"),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        # What type 7 hides can be read by anybody: two digits, 00 to 15, tell where in a known text it begins.
        "device-key",
        r"\b(?:key|key-string|pre-shared-key|password|secret) 7 \"?((?:0[0-9]|1[0-5])(?:[0-9A-F]{2}){3,64})(?:[^0-9A-Za-z]|$)",
        r"(?:key|key-string|password|secret) 7 \\*\"?[01][0-9][0-9A-F]{6}",
        (b" 7 ",),
        ("tacacs-server key 7 0822455D0A16", " key 7 094F471A1A0A", 'key-string 7 "0822455D0A16"'),
        ("the key 7 of 12", "key 7 20240501", "key 7 0822455D0A1"),
        group=1,
        structural=True,
    ),
    shaped(
        "device-key",
        r"\b(?:pac|(?:tacacs|radius)-server) (?:host +[^\s]{1,100} +)?key +(?:[0-9] +)?([^\s\"'\\]{6,128})",
        r"(?:pac key |(?:tacacs|radius)-server )",
        (b"key ",),
        ("pac key 2 Ny8fVq3xkQ7z", "radius-server host 10.0.0.9 key Ny8fVq3xkQ"),
        ("the pac key is old", "radius-server timeout 5"),
        group=1,
        check=is_no_word,
        structural=True,
    ),
)

_CALLS: tuple[Detector, ...] = (
    shaped(
        "credential-call",
        r"(?i:networkcredential\]?(?:::new)?|usernamepasswordtoken|personalaccesstokenauth|httpbasicauth|setbasicauth|\.basicauth"
        rf"|\bauth\s?=)\s?\(\s{{0,20}}{_ARGUMENT}{_QUOTED}",
        r"(?i:networkcredential|usernamepasswordtoken|personalaccesstokenauth|httpbasicauth|basicauth\(|\bauth\s?=\s?\()",
        (b"(",),
        (
            'new NetworkCredential("till", "Ny8fVq3x")',
            "[Net.NetworkCredential]::new('till', 'Ny8fVq3x')",
            "PersonalAccessTokenAuth('till', 'Ny8fVq3x', 'stock')",
            "requests.get(url, auth=('till', 'Ny8fVq3x'))",
        ),
        ("NetworkCredential(user, pass)", "auth=(user, password)", 'SetBasicAuth(user, "")'),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        "credential-call",
        r"(?i:\bmysqli?_p?connect|\bnew\s+mysqli|\bdbi(?:\.|->|::)connect(?:_cached)?|\bnew\s+pdo|drivermanager\.getconnection"
        rf"|directoryentry|\bftp_login|\bssh2_auth_password)\s?\(\s{{0,20}}{_ARGUMENT}{_ARGUMENT}{_QUOTED}",
        r"(?i:mysqli?_p?connect|new mysqli|dbi(?:\.|->|-\\u003e|-&gt;|::)connect|new pdo|drivermanager\.getconnection|directoryentry|ftp_login|ssh2_auth_password)",
        (b"(",),
        (
            "mysqli_connect('db.example.net', 'till', 'Ny8fVq3x', 'stock')",
            'DBI.connect("DBI:Mysql:stock", "till", "slnkvhoj")',
            "new PDO($dsn, 'till', 'Ny8fVq3x')",
            'DriverManager.getConnection(url, "till", "Ny8fVq3x")',
            'DirectoryEntry("LDAP://h", "till", "Ny8fVq3x")',
        ),
        (
            "mysql_connect($host, $user, $pass)",
            'mysqli_connect("localhost", "root", "")',
            'DriverManager.getConnection("jdbc:h2:mem", "till")',
        ),
        group=1,
        check=can_be_password,
        structural=True,
    ),
    shaped(
        "credential-call",
        r"(?i:convertto-securestring)\s+(?:-(?i:asplaintext|force)\s+){0,2}(?:-(?i:string)\s+)?[\"']([^\"'$\s][^\"'\r\n]{3,200})[\"']",
        r"(?i:convertto-securestring)",
        (b"ecure", b"ECURE"),
        (
            "ConvertTo-SecureString 'Ny8fVq3!' -AsPlainText -Force",
            'ConvertTo-SecureString -AsPlainText -Force -String "Ny8fVq3!"',
        ),
        ('ConvertTo-SecureString "$env:PW" -AsPlainText', "ConvertTo-SecureString $plain -AsPlainText"),
        group=1,
        check=can_be_password,
        structural=True,
    ),
)

_HASHES: tuple[Detector, ...] = (
    shaped(
        "password-hash",
        r"\$krb5(?:tgs|asrep|pa)\$[0-9]{1,2}\$[^\s\"'\\]{32,}",
        r"\$krb5(?:tgs|asrep|pa)\$",
        (b"$krb5",),
        (
            "$krb5tgs$23$*till$STOCK$http/h*$" + hex_(32) + "$" + hex_(200),
            "$krb5asrep$23$till@STOCK:" + hex_(32) + "$" + hex_(64),
        ),
        ("$krb5tgs$23$ is its head",),
        doubtful=False,
    ),
    shaped(
        "password-hash",
        r"\b(?:pbkdf2[_:\-](?:sha1|sha256|sha512|md5)[$:][0-9]{3,9}\$[./A-Za-z0-9+=\-_]{4,128}\$[./A-Za-z0-9+=\-_]{20,256}"
        r"|scrypt[:$][0-9$:a-z=,]{4,40}\$[./A-Za-z0-9+=\-_]{4,128}\$[./A-Za-z0-9+=\-_]{20,256})",
        r"pbkdf2[_:\-](?:sha|md5)|scrypt[:$][0-9]",
        (b"pbkdf2", b"scrypt"),
        (
            "pbkdf2_sha256$600000$" + fill(22) + "$" + fill(43) + "=",
            "scrypt:32768:8:1$" + fill(16) + "$" + hex_(128),
            "pbkdf2:sha256:600000$" + fill(8) + "$" + hex_(64),
        ),
        ("pbkdf2_sha256$600000$ is its head", "scrypt:32768:8:1", "pbkdf2-sha256"),
        structural=True,
    ),
    shaped(
        "password-hash",
        r"(?:\{(?i:s?sha(?:1|256|384|512)?|s?md5|crypt)\}[A-Za-z0-9$][./A-Za-z0-9+=$]{23,200}|\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}|\$[PSH]\$[./A-Za-z0-9]{31,52})",
        r"\{(?i:s?sha(?:1|256|384|512)?|s?md5|crypt)\}[A-Za-z0-9$][./A-Za-z0-9+=$]{19}|\$apr1\$|\$[PSH]\$[./A-Za-z0-9]{31}",
        (b"}", b"$"),
        ("{SSHA}" + fill(32), "till:$apr1$" + fill(8) + "$" + fill(22), "$P$B" + fill(30)),
        ("{SHA} is its head", "a {md5} of it", "$apr1$ too", "/x/{sha}/" + hex_(40)),
        structural=True,
    ),
)

_CHAIN = r"(?:alchemyapi\.io|\.alchemy\.com|infura\.io|quiknode\.pro|\.blastapi\.io)"
_SLASH = r"\\?/"
_URLS: tuple[Detector, ...] = (
    shaped(
        "url-path-key",
        rf"{_CHAIN}{_SLASH}(?:[a-z]{{2,12}}{_SLASH})?(?:v[0-9]{_SLASH})?([A-Za-z0-9_\-]{{28,64}})",
        _CHAIN,
        (b"alchemy", b"infura", b"quiknode", b"blastapi"),
        (
            "https://eth-mainnet.g.alchemy.com/v2/" + fill(32),
            "wss:\\/\\/mainnet.infura.io\\/ws\\/v3\\/" + hex_(32),
        ),
        (
            "https://docs.infura.io/api/networks/ethereum-and-friends-of-it",
            "https://www.alchemy.com/v2/pricing",
        ),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "url-path-key",
        rf"{_SLASH}hooks{_SLASH}([a-z0-9]{{26}})(?:[^A-Za-z0-9_\-]|$)",
        r"hooks\\?/[a-z0-9]{26}",
        (b"hooks",),
        ("https://chat.example.net/hooks/" + fill(26).lower(),),
        ("https://x.example.net/hooks/after-deploy", "/hooks/" + "a" * 26, "/hooks/" + "ab" * 20),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "url-path-key",
        rf"{_SLASH}api{_SLASH}v1{_SLASH}([A-Za-z0-9]{{20}}){_SLASH}(?:telemetry|attributes|rpc|claim)\b",
        r"api\\?/v1\\?/[A-Za-z0-9]{20}\\?/",
        (b"v1",),
        ("http://things.example.net/api/v1/" + fill(20) + "/telemetry",),
        ("/api/v1/reports/telemetry", "/api/v1/" + "a" * 20 + "/telemetry"),
        group=1,
        check=is_dense,
        structural=True,
    ),
    shaped(
        "url-path-key",
        rf"office\.com{_SLASH}webhook(?:b2)?{_SLASH}([A-Za-z0-9@/\\\-]{{60,200}})",
        r"office\.com\\?/webhook",
        (b"office.com",),
        ("https://stock.office.com/webhook/" + hex_(36) + "@" + hex_(36) + "/IncomingWebhook/" + hex_(32),),
        ("https://stock.office.com/webhook/about",),
        group=1,
        structural=True,
    ),
    shaped(
        "url-path-key",
        rf"\btgram:{_SLASH}{_SLASH}([0-9]{{6,12}}:[A-Za-z0-9_\-]{{30,}})",
        "tgram:",
        (b"tgram:",),
        ("tgram://4990501532:" + fill(35),),
        ("tgram://bottoken/chat",),
        group=1,
        structural=True,
    ),
    shaped(
        "oauth-header",
        r"(?i:\boauth )([A-Za-z0-9._~+/=\-]{28,512})",
        r"(?i:oauth) [A-Za-z0-9._~+/=\-]{28}",
        (b"uth", b"UTH"),
        ("OAuth " + hex_(64), "authorization OAuth " + upper(40)),
        ("OAuth authentication-of-all-clients-failed",),
        group=1,
        check=is_dense,
        structural=True,
    ),
)

COMMANDS: tuple[Detector, ...] = (*_SHELL, *_DEVICES, *_CALLS, *_HASHES, *_URLS)
