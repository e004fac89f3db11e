"""The account as a whole: projects, filters, prepaid machines, many at once, what a line
looks like, and what people type. Bent stands in front of the gateway and changes what is
asked and answered: what the gateway itself does not offer is tried through it."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import threading
import time
import unicodedata
import urllib.parse

import harness
from harness import PRIVATE_KEY, World, contains, equal, lacks, test, uhost, wait_for
from verbs import NO_KEYS, plain

UPDATE, DELETE, DESCRIBE = "UpdateCompShareStopScheduler", "DeleteCompShareStopScheduler", "DescribeCompShareInstance"


class Bent:
    """HTTPS in front of a world's gateway. ask(params) may change what is asked, which is
    then signed anew; answer(params, reply) what is answered, an object or bytes."""

    def __init__(self, world, ask=None, answer=None):
        self.world, self.ask, self.answer, self.asked = world, ask, answer, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(harness.args.certs + "/ec-chain.pem", harness.args.certs + "/ec-key.pem")
        self.trust = ssl.create_default_context(cafile=harness.args.certs + "/roots.pem")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = "https://localhost:%d" % self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        self.world.env["COMPSHARE_BASE_URL"] = self.url
        return self

    def __exit__(self, *what):
        self.world.env["COMPSHARE_BASE_URL"] = "https://localhost:%d" % self.world.port
        self.server.close()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError, ConnectionError), self.context.wrap_socket(client, server_side=True) as s:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = s.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
                while len(data) < length:
                    data += s.recv(65536)
                body, data = data[:length], data[length:]
                date, body = self.forward(dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)))
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n" % (date.encode(), len(body)) + body)

    def forward(self, params):
        original = dict(params)
        self.asked.append(original)
        if self.ask is not None:
            self.ask(params)
            params.pop("Signature")
            text = "".join(k + v for k, v in sorted(params.items())) + PRIVATE_KEY
            params["Signature"] = hashlib.sha1(text.encode()).hexdigest()
        connection = http.client.HTTPSConnection("localhost", self.world.port, context=self.trust, timeout=60)
        connection.request("POST", "/", urllib.parse.urlencode(params), {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        body, date = reply.read(), reply.getheader("Date")
        connection.close()
        if self.answer is not None:
            changed = json.loads(body)
            changed = self.answer(original, changed) or changed
            body = changed if isinstance(changed, bytes) else json.dumps(changed, ensure_ascii=False).encode()
        return date, body


class Projects(Bent):
    """Instances that are in other projects than the default one: {number: project}."""

    def __init__(self, world, where):
        super().__init__(world, self.place, self.only)
        self.where = {uhost(n): project for n, project in where.items()}

    def place(self, params):
        """The gateway has all of them in its default project."""
        project = params.get("ProjectId", "org-default")
        if params["Action"] == DESCRIBE:
            params["ProjectId"] = "org-default"
        elif "UHostId" in params:
            here = self.where.get(params["UHostId"], "org-default") == project
            params["ProjectId"] = "org-default" if here else "org-other"

    def only(self, params, reply):
        if params["Action"] != DESCRIBE or "UHostSet" not in reply:
            return
        project = params.get("ProjectId", "org-default")
        reply["UHostSet"] = [i for i in reply["UHostSet"] if self.where.get(i["UHostId"], "org-default") == project]
        reply["TotalCount"] = len(reply["UHostSet"])


def ids(result):
    return [o["uhost_id"] for o in result.objects() if "uhost_id" in o]


def executed(w, action):
    return w.stats()["executed_by_action"].get(action, 0)


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


# ---- proxies

@test("proxies as curl has them: which variable, which form, and what no_proxy says")
def curl_proxies():
    from verbs import Proxy
    proxy, other = Proxy(), "http://127.0.0.1:1"
    here = "127.0.0.1:%d" % proxy.port
    url = "http://" + here
    with World(instances=6) as w:
        for used, env in (
                (True, {"https_proxy": url, "HTTPS_PROXY": other}), (True, {"https_proxy": "", "HTTPS_PROXY": url}), (True, {"ALL_PROXY": url}), (True, {"all_proxy": url}),
                (True, {"all_proxy": url, "ALL_PROXY": other}), (True, {"https_proxy": url, "all_proxy": other}), (True, {"HTTPS_PROXY": url, "all_proxy": other}),
                (False, {"http_proxy": url}), (False, {"HTTP_PROXY": url}), (True, {"https_proxy": "HTTP://" + here}), (True, {"https_proxy": "Http://%s/" % here}),
                (True, {"https_proxy": url + "/some/path?x#y"}), (True, {"https_proxy": here + "/path"}), (True, {"https_proxy": "http://u:p@%s/path" % here}),
                (False, {"https_proxy": url, "no_proxy": "localhost", "NO_PROXY": "elsewhere"}), (True, {"https_proxy": url, "no_proxy": "elsewhere", "NO_PROXY": "localhost"}),
                (False, {"https_proxy": url, "no_proxy": "", "NO_PROXY": "localhost"}), (False, {"https_proxy": url, "no_proxy": "localhost."}), (False, {"https_proxy": url, "no_proxy": ".localhost"}),
                (False, {"https_proxy": url, "no_proxy": "a,,\tlocalhost"}), (True, {"https_proxy": url, "no_proxy": "localhost:443"}), (True, {"https_proxy": url, "no_proxy": "*.localhost"}),
                (True, {"https_proxy": url, "no_proxy": "a,*"}), (True, {"https_proxy": url, "no_proxy": "host"}), (True, {"https_proxy": url, "no_proxy": "www.localhost"}),
                (False, {"ALL_PROXY": url, "no_proxy": "*"}), (True, {"https_proxy": url, "no_proxy": "."})):
            before = proxy.count
            w.tool("show", uhost(1), env=env).is_(0)
            equal(proxy.count - before, int(used), env)
        for env in ({"ALL_PROXY": "socks5://127.0.0.1:1"}, {"https_proxy": "SOCKS5h://127.0.0.1:1"}, {"https_proxy": "https://127.0.0.1:1"}):
            contains(w.tool("show", env=env).is_(2).err, "proxy")
        # without a port it is 1080, as for curl
        r = w.tool("show", env={"https_proxy": "http://127.0.0.1"}).is_(4)
        contains(r.err, "1080")
    proxy.server.close()
