// Puts Expo's official client at the command of a test: one JSON object in per
// line, one out. The client finds the stand-in by EXPO_BASE_URL.
import { createInterface } from 'node:readline';
import { Expo } from 'expo-server-sdk';

// told is what a caller of the client can see of an error.
function told(error) {
  const { code, statusCode, details, errorText, errorData } = error;
  return { message: String(error.message), code, statusCode, details, errorText, errorData };
}

const commands = {
  // send cuts the messages into the client's chunks and sends one after the other.
  async send({ messages, accessToken }) {
    const expo = new Expo({ accessToken, retryMinTimeout: 1 });
    const result = { chunks: [], tickets: [] };
    for (const chunk of expo.chunkPushNotifications(messages)) {
      result.chunks.push(Expo._getActualMessageCount(chunk));
      result.tickets.push(...(await expo.sendPushNotificationsAsync(chunk)));
    }
    return result;
  },

  // sendAtOnce sends all messages in one request, whatever their number.
  async sendAtOnce({ messages, accessToken }) {
    const expo = new Expo({ accessToken, retryMinTimeout: 1 });
    return { tickets: await expo.sendPushNotificationsAsync(messages) };
  },

  async receipts({ ids, accessToken }) {
    const expo = new Expo({ accessToken });
    const result = { chunks: [], receipts: {} };
    for (const chunk of expo.chunkPushNotificationReceiptIds(ids)) {
      result.chunks.push(chunk.length);
      Object.assign(result.receipts, await expo.getPushNotificationReceiptsAsync(chunk));
    }
    return result;
  },

  async valid({ tokens }) {
    return { valid: tokens.map((token) => Expo.isExpoPushToken(token)) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command](args);
  } catch (error) {
    answer = { error: told(error) };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
