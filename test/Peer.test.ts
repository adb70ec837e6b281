import { describe, expect, it } from "@effect/vitest"
import * as NetAddress from "effect/net/NetAddress"
import * as Peer from "../src/Peer.ts"

const inet = (text: string) => NetAddress.inetAddressFromStringUnsafe(text)

describe("what TLS has agreed on", () => {
  const certificate = {
    subject: "O=Example\nCN=example.com",
    issuer: "",
    subjectAltName: "DNS:example.com",
    validFrom: new Date(0),
    validTo: new Date(0),
    serialNumber: "01",
    fingerprint256: "",
    raw: new Uint8Array()
  }
  const tls = {
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    alpn: undefined,
    servername: undefined,
    resumed: false,
    verified: true,
    localCertificate: undefined
  }

  it("names the peer by its subject, else by its alternative names", () => {
    const named = (more: Partial<Peer.Certificate>) =>
      Peer.formatTls({ ...tls, certificate: { ...certificate, ...more } })
    expect(named({})).toBe("TLSv1.3 with TLS_AES_256_GCM_SHA384, peer O=Example, CN=example.com (verified)")
    expect(named({ subject: "" })).toContain("peer DNS:example.com (verified)")
    expect(named({ subject: "", subjectAltName: undefined })).toContain("peer without a name (verified)")
  })
})

describe("format", () => {
  it("an IPv4 peer is its address and its port", () => {
    expect(Peer.format({ remote: inet("192.0.2.1:12345"), local: undefined })).toBe("192.0.2.1:12345")
  })

  it("an IPv6 peer has its address in brackets", () => {
    expect(Peer.format({ remote: inet("[2001:db8::1]:443"), local: undefined })).toBe("[2001:db8::1]:443")
  })

  it("a peer on a Unix socket is its path", () => {
    const remote = NetAddress.unixPathAddress("/run/app.sock")
    expect(Peer.format({ remote, local: undefined })).toBe("unix:///run/app.sock")
  })

  it("a peer without an address is unknown", () => {
    expect(Peer.format(Peer.unknown)).toBe("unknown peer")
  })

  it("this side's own address does not stand for the peer", () => {
    expect(Peer.format({ remote: undefined, local: inet("192.0.2.1:12345") })).toBe("unknown peer")
  })
})
