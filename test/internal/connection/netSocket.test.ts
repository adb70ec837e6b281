import { afterAll, beforeAll, expect, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import os from "node:os"
import * as NetSocket from "../../../src/internal/connection/netSocket.ts"
import * as Peer from "../../../src/Peer.ts"

const address = { address: "fe80::1", netmask: "ffff:ffff:ffff:ffff::", mac: "02:00:00:00:00:01", internal: false }

beforeAll(() => {
  vi.spyOn(os, "networkInterfaces").mockReturnValue({
    lo: [{ ...address, address: "127.0.0.1", family: "IPv4", cidr: null }],
    eth7: [{ ...address, family: "IPv6", cidr: null, scopeid: 7 }]
  })
})
afterAll(() => {
  vi.restoreAllMocks()
})

it("a link-local peer has the number of its zone", () => {
  const peer = NetSocket.peerOf({
    remoteAddress: "fe80::2%eth7",
    remotePort: 80,
    localAddress: "fe80::1%eth7",
    localPort: 81
  })
  expect(Peer.format(peer)).toBe("[fe80::2%7]:80")
  expect(peer.local).toMatchObject({ scopeId: 7, port: 81 })
})

it("a link-local peer is known by its address where its interface is gone", () => {
  expect(Peer.format(NetSocket.peerOf({ remoteAddress: "fe80::2%eth8", remotePort: 80 }))).toBe("[fe80::2]:80")
})

it("a host has its zone by the name of the interface, where there is one", () => {
  expect(["fe80::1%7", "FE80::1%7", "fe80::1%eth7", "fe80::1%8", "::1", "127.0.0.1", "example.com", "a%7"].map(
    NetSocket.nativeHost
  )).toEqual(["fe80::1%eth7", "fe80::1%eth7", "fe80::1%eth7", "fe80::1%8", "::1", "127.0.0.1", "example.com", "a%7"])
})

it("a zone is that of an interface, by its name or by its number, and what is wrong with it names those there are", () => {
  const hosts = ["fe80::1%eth7", "fe80::1%7", "fe80::1%lo", "::1", "127.0.0.1", "example.com", "a%8"]
  for (const host of hosts) expect(NetSocket.zoneProblem(host)).toBeUndefined()
  for (const host of ["fe80::1%eth8", "fe80::1%8", "fe80::1%25eth7", "FE80::1%", "::1%nosuch", "fe80::1%a b"]) {
    expect(NetSocket.zoneProblem(host)).toBe(
      `"${host}" names no network interface that is up behind the %: there are lo, eth7`
    )
  }
})

it("what is no address is none", () => {
  expect(Result.isFailure(NetSocket.address("nonsense%eth7", 80))).toBe(true)
  expect(Effect.runSync(NetSocket.currentPeer)).toBeUndefined()
})

const parts = Schema.Array(Schema.Literals(["0", "1", "25", "255", "256", "300", "01", "", "x"]))

it.prop(
  "an address of IPv4 is the one that Effect makes of it, and what is none is none",
  [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 260 }))), parts],
  ([numbers, parts]) => {
    for (const ip of [numbers.slice(0, 4).join("."), parts.join("."), parts.slice(0, 4).join(".")]) {
      expect(NetSocket.address(ip, 80)).toEqual(NetAddress.inetAddressFromIpString(ip, 80))
    }
  }
)

it.each(["0.0.0.0", "255.255.255.255", "1.2.3.256", "01.2.3.4", "1.2.3", "1.2.3.", "1.2.3.4.5", ""])(
  "of \"%s\" is made what Effect makes of it",
  (ip) => {
    for (const port of [80, 65_536]) {
      expect(NetSocket.address(ip, port)).toEqual(NetAddress.inetAddressFromIpString(ip, port))
    }
  }
)
