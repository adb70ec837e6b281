/**
 * The PROXY protocol with those who speak it: haproxy as sender and as receiver, nginx as receiver.
 */
import { expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as Peer from "../../src/Peer.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Proxy from "../../src/protocols/Proxy.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Server from "../../src/Server.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import { directory } from "../support/directory.ts"
import * as Peers from "../support/peers.ts"

const user = NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324")
const destination = NetAddress.inetAddressFromStringUnsafe("192.0.2.1:443")

/** Our server, which tells whoever has come who that is, and keeps what each header has said. */
const ours = Effect.gen(function*() {
  const headers: Array<Proxy.Header> = []
  const first = yield* Deferred.make<Proxy.Header>()
  const { address } = yield* Server.make({
    handshake: Line.server.pipe(Proxy.server({ trust: ["127.0.0.0/8"] })),
    serve: (transport) =>
      Effect.gen(function*() {
        headers.push(transport.proxy)
        yield* Deferred.succeed(first, transport.proxy)
        const peer = yield* transport.peer
        yield* transport.send(`${Peer.format(peer)} ${Proxy.format(transport.proxy)}`)
        yield* Effect.ignore(transport.receive)
      })
  }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 })))
  if (address._tag === "UnixPathAddress") return yield* Effect.die("it is TCP")
  return { headers, first, port: address.port }
})

/** What our server tells a client, whose handshake that is, and where that one comes from. */
const told = <A extends Transport.Transport<string, string>, E, R>(port: number, handshake: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const transport = yield* handshake
    const heard = yield* transport.receive
    return { heard, own: yield* transport.peer }
  }).pipe(
    Effect.provideServiceEffect(Socket.Socket, Net.socket({ host: "127.0.0.1", port, localAddress: "127.0.0.9" })),
    Effect.scoped
  )

Peers.describeWith(["haproxy"], "haproxy", () => {
  it.live("tells whom it speaks for, in every way that it has", () =>
    Effect.gen(function*() {
      const { headers, port } = yield* ours
      const health = yield* ours
      const path = yield* directory
      // It wants them in one file.
      writeFileSync(join(path, "server.pem"), Certificates.server.cert + Redacted.value(Certificates.server.key))
      const { ports } = yield* Effect.gen(function*() {
        const ports = yield* Effect.all(Array.from({ length: 5 }, () => Peers.freePort))
        const config = join(path, "haproxy.cfg")
        writeFileSync(config, configuration(ports, port, health.port, path))
        const running = yield* Peers.start("haproxy", ["-db", "-f", config])
        yield* Peers.untilReady(
          running,
          "haproxy",
          Effect.scoped(
            Effect.provideServiceEffect(Line.client, Socket.Socket, Net.socket({ host: "127.0.0.1", port: ports[0] }))
          )
        )
        return { ports }
      }).pipe(Peers.onAnotherPort)
      const [v1, v2, tls, accepting] = ports

      const first = yield* told(v1, Line.client)
      const from = Peer.format({ remote: first.own.local, local: undefined })
      expect(first.heard).toBe(`${from} PROXY v1 from ${from} to 127.0.0.1:${v1}`)
      expect((yield* told(v2, Line.client)).heard).toMatch(/^127\.0\.0\.9:\d+ PROXY v2 .*, Crc32c, UniqueId$/)

      const certificate = Certificates.client
      const inTls = Line.client.pipe(
        Tls.client({ servername: "localhost", ca: Certificates.root, certificate, alpn: ["line"] })
      )
      expect((yield* told(tls, inTls)).heard).toMatch(/^127\.0\.0\.9:\d+ PROXY v2 /)
      const ssl = Proxy.find(headers[headers.length - 1], "Ssl")
      expect(ssl).toMatchObject({ overTls: true, certificate: "both", verify: 0 })
      expect(ssl?.tlvs).toEqual(expect.arrayContaining([
        { _tag: "Version", value: "TLSv1.3" },
        { _tag: "CommonName", value: expect.any(String) },
        { _tag: "Cipher", value: expect.stringMatching(/^TLS_/) }
      ]))
      expect(Proxy.find(headers[headers.length - 1], "Authority")).toEqual({ _tag: "Authority", name: "localhost" })

      // What we send it believes, and passes on.
      for (const version of [1, 2] as const) {
        const tlvs: ReadonlyArray<Proxy.Tlv> = version === 1 ? [] : [{ _tag: "Crc32c" }]
        const sent = Line.client.pipe(
          Proxy.client(Proxy.forwarding({ remote: user, local: destination }, { version, tlvs }))
        )
        expect((yield* told(accepting, sent)).heard).toMatch(/^203\.0\.113\.7:56324 PROXY v2 .* to 192\.0\.2\.1:443/)
      }

      // Its health checks are its own.
      expect(yield* Deferred.await(health.first)).toEqual({ _tag: "Local" })
    }))
})

const configuration = (
  [v1, v2, tls, accepting, checking]: ReadonlyArray<number>,
  port: number,
  health: number,
  path: string
): string => `
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  unique-id-format ID-%ci
listen v1
  bind 127.0.0.1:${v1}
  server s 127.0.0.1:${port} send-proxy
listen v2
  bind 127.0.0.1:${v2}
  server s 127.0.0.1:${port} send-proxy-v2 proxy-v2-options crc32c,unique-id
listen tls
  bind 127.0.0.1:${tls} ssl crt ${path}/server.pem ca-file ${Certificates.rootFile} verify optional alpn line
  server s 127.0.0.1:${port} send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c
listen accepting
  bind 127.0.0.1:${accepting} accept-proxy
  server s 127.0.0.1:${port} send-proxy-v2
listen checking
  bind 127.0.0.1:${checking}
  option tcp-check
  tcp-check send "You ready?\\n"
  tcp-check expect string Bring
  server s 127.0.0.1:${health} send-proxy-v2 check check-send-proxy inter 100ms
`

Peers.describeWith(["nginx"], "nginx", () => {
  it.live("believes our headers, of either version", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const { port } = yield* Peers.serverOn("nginx", (port) => {
        const config = join(path, "nginx.conf")
        writeFileSync(config, nginx(port, path))
        return ["-p", path, "-c", config, "-e", "stderr"]
      })
      const asked = Transport.framed(Codec.bytes).pipe(
        Handshake.send(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"))
      )
      for (const version of [1, 2] as const) {
        const client = asked.pipe(Proxy.client(Proxy.forwarding({ remote: user, local: destination }, { version })))
        const heard = yield* Effect.flatMap(client, (transport) => Stream.runCollect(transport.incoming)).pipe(
          Effect.provideServiceEffect(Socket.Socket, Net.socket({ host: "127.0.0.1", port })),
          Effect.scoped
        )
        expect(Buffer.concat(heard).toString()).toMatch(/203\.0\.113\.7 56324$/)
      }
    }))
})

const nginx = (port: number, path: string): string => `
daemon off;
master_process off;
pid ${path}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${path}/body;
  proxy_temp_path ${path}/proxy;
  fastcgi_temp_path ${path}/fastcgi;
  uwsgi_temp_path ${path}/uwsgi;
  scgi_temp_path ${path}/scgi;
  server {
    listen 127.0.0.1:${port} proxy_protocol;
    return 200 "$proxy_protocol_addr $proxy_protocol_port";
  }
}
`
