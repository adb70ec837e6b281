/**
 * The laws of a handshake in binary packets that is refused in words only where that is due, as in MQTT.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { mqtt } from "./mqtt.ts"

// A third of the cases that are drawn, for the sake of time: it is clean on all of them, too.
Laws.handshake({ ...mqtt, it: Law.it, runs: 66 })
