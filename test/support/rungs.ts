/**
 * What every handshake of this package is tried on: plain calls, memory, the simulated network, TCP and TLS on loopback;
 * and the way that it goes in production, without anybody who watches.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { readFileSync } from "node:fs"
import * as Net from "../../src/node/Net.ts"
import * as Rung from "../../src/testing/Rung.ts"

const read = (name: string) => readFileSync(new URL(`../../examples/certificates/${name}`, import.meta.url))

/** For tests only: a certificate of "localhost" that has signed itself, and that no machine trusts. */
export const certificate = { key: read("localhost.key"), cert: read("localhost.crt") }

export const tcp = Rung.sockets({
  name: "tcp",
  server: Net.makeServer({ host: "127.0.0.1", port: 0 }),
  dial: (address) => Net.socket(address)
})

// Node takes it for TLS too, though its types do not say so.
const halfOpen = { allowHalfOpen: true }

/** Effect's own sockets, which have no source of their own for a transport to read from. */
export const tls = Rung.sockets({
  name: "tls",
  server: NodeSocketServer.makeTls({ ...certificate, host: "127.0.0.1", port: 0, ...halfOpen }),
  dial: (address) =>
    NodeSocket.makeTls({
      host: "127.0.0.1",
      port: address._tag === "UnixPathAddress" ? 0 : address.port,
      servername: "localhost",
      ca: certificate.cert,
      ...halfOpen
    })
})

/** The way of production: `Server`, no observer, no fiber for what need not wait. */
export const fastRungs: ReadonlyArray<Rung.Rung> = [Rung.pure, Rung.simulated(), tcp].map(Rung.fast)

export const rungs: ReadonlyArray<Rung.Rung> = [Rung.pure, Rung.memory, Rung.simulated(), tcp, tls, ...fastRungs]
