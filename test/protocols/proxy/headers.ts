/**
 * PROXY headers for tests, drawn and as bytes.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import type * as Proxy from "../../../src/protocols/Proxy.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const oneOf = <A>(...choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, choices.length - 1), (index) => choices[index])

const bytes = (minLength: number, maxLength = minLength) =>
  Arbitrary.map(
    Arbitrary.array(int(0, 255), { minLength, maxLength }),
    (numbers) => Uint8Array.from(numbers)
  )

const port = oneOf(Arbitrary.Constant(0), Arbitrary.Constant(65_535), int(0, 65_535))

const inet = (ip: Arbitrary.Arbitrary<NetAddress.IpAddress>): Arbitrary.Arbitrary<NetAddress.SocketAddress> =>
  Arbitrary.map(Arbitrary.all({ ip, port }), ({ ip, port }) => NetAddress.inetAddressUnsafe(ip, port))

const v4 = inet(Arbitrary.map(bytes(4), NetAddress.ipv4FromBytesUnsafe))
const v6 = inet(Arbitrary.map(
  // Groups of zeros, which are written in one of several ways.
  oneOf(bytes(16), Arbitrary.map(bytes(3), (some) => Uint8Array.of(...some, ...new Uint8Array(13)))),
  NetAddress.ipv6FromBytesUnsafe
))

const paths = ["", "/run/app.sock", "\0abstract", "/ü".repeat(36), "/".repeat(108)]
const unix: Arbitrary.Arbitrary<NetAddress.SocketAddress> = Arbitrary.map(
  int(0, paths.length - 1),
  (index) => NetAddress.unixPathAddress(paths[index])
)

const text = Arbitrary.map(int(0, 4), (index) => ["", "h2", "example.com", "münchen.example", "TLSv1.3"][index])

const other = (types: ReadonlyArray<number>): Arbitrary.Arbitrary<Proxy.Other> =>
  Arbitrary.map(
    Arbitrary.all({ type: Arbitrary.map(int(0, types.length - 1), (index) => types[index]), value: bytes(0, 6) }),
    ({ type, value }) => ({ _tag: "Other", type, value })
  )

/** Each of them, or not, in this order. */
const some = <A>(choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<ReadonlyArray<A>> =>
  choices.reduce<Arbitrary.Arbitrary<ReadonlyArray<A>>>(
    (before, choice) =>
      Arbitrary.map(
        Arbitrary.all({ before, choice, isThere: int(0, 1) }),
        ({ before, choice, isThere }) => isThere === 1 ? [...before, choice] : before
      ),
    Arbitrary.Constant([])
  )

const sslText = (_tag: Exclude<Proxy.SslTlv["_tag"], "Other">): Arbitrary.Arbitrary<Proxy.SslTlv> =>
  Arbitrary.map(text, (value) => ({ _tag, value }))

const ssl: Arbitrary.Arbitrary<Proxy.Tlv> = Arbitrary.map(
  Arbitrary.all({
    overTls: int(0, 1),
    certificate: int(0, 3),
    verify: oneOf(int(0, 1), Arbitrary.Constant(2 ** 32 - 1)),
    tlvs: some<Proxy.SslTlv>([sslText("Version"), sslText("CommonName"), sslText("Cipher"), other([0x20, 0x26, 0xff])])
  }),
  ({ certificate, overTls, tlvs, verify }) => ({
    _tag: "Ssl",
    overTls: overTls === 1,
    certificate: (["none", "connection", "session", "both"] as const)[certificate],
    verify,
    tlvs
  })
)

const tlvs = some<Proxy.Tlv>([
  Arbitrary.map(text, (protocol): Proxy.Tlv => ({ _tag: "Alpn", protocol })),
  other([0, 0x06, 0x21, 0xe0]),
  Arbitrary.Constant<Proxy.Tlv>({ _tag: "Crc32c" }),
  Arbitrary.map(bytes(0, 3), (value): Proxy.Tlv => ({ _tag: "Noop", value })),
  Arbitrary.map(bytes(0, 12), (id): Proxy.Tlv => ({ _tag: "UniqueId", id })),
  ssl,
  Arbitrary.map(text, (name): Proxy.Tlv => ({ _tag: "Authority", name })),
  Arbitrary.map(text, (name): Proxy.Tlv => ({ _tag: "Netns", name })),
  Arbitrary.map(bytes(0, 3), (value): Proxy.Tlv => ({ _tag: "Noop", value })),
  other([0xea, 0xff])
])

const proxied = (
  version: Proxy.Version,
  address: Arbitrary.Arbitrary<NetAddress.SocketAddress>,
  said: Arbitrary.Arbitrary<ReadonlyArray<Proxy.Tlv>>
): Arbitrary.Arbitrary<Proxy.Header> =>
  Arbitrary.map(
    Arbitrary.all({
      source: address,
      destination: address,
      isStream: version === 1 ? int(1, 1) : int(0, 1),
      tlvs: said
    }),
    ({ isStream, ...rest }) => ({
      _tag: "Proxied",
      version,
      transport: isStream === 1 ? "stream" : "datagram",
      ...rest
    })
  )

const nothing = Arbitrary.Constant<ReadonlyArray<Proxy.Tlv>>([])

/** Any header that can be sent. */
export const headers: Arbitrary.Arbitrary<Proxy.Header> = oneOf<Proxy.Header>(
  proxied(2, v4, tlvs),
  proxied(2, v6, tlvs),
  proxied(2, unix, tlvs),
  proxied(1, v4, nothing),
  proxied(1, v6, nothing),
  Arbitrary.map(tlvs, (tlvs) => ({ _tag: "Unknown", version: 2, tlvs })),
  Arbitrary.Constant<Proxy.Header>({ _tag: "Unknown", version: 1, tlvs: [] }),
  Arbitrary.Constant<Proxy.Header>({ _tag: "Local" })
)
