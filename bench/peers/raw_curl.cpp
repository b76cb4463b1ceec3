#include "peers/raw_curl.hpp"

#include <curl/curl.h>

#include <cstring>
#include <stdexcept>

namespace db4::bench {

struct RawCurl::State {
  CURL* easy = ::curl_easy_init();
  std::vector<char> received;
  std::size_t got = 0;
  std::string_view body;
  std::size_t sent = 0;

  static std::size_t write(char* data, std::size_t, std::size_t size, void* user) {
    auto& state = *static_cast<State*>(user);
    if (state.got + size > state.received.size()) state.received.resize(2 * (state.got + size));
    std::memcpy(state.received.data() + state.got, data, size);
    state.got += size;
    return size;
  }
  static std::size_t read(char* out, std::size_t, std::size_t room, void* user) {
    auto& state = *static_cast<State*>(user);
    const std::size_t size = std::min(room, state.body.size() - state.sent);
    std::memcpy(out, state.body.data() + state.sent, size);
    state.sent += size;
    return size;
  }
};

RawCurl::RawCurl() : state_(std::make_unique<State>()) {
  ::curl_easy_setopt(state_->easy, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(state_->easy, CURLOPT_PATH_AS_IS, 1L);
  ::curl_easy_setopt(state_->easy, CURLOPT_FAILONERROR, 1L);
  ::curl_easy_setopt(state_->easy, CURLOPT_WRITEFUNCTION, &State::write);
  ::curl_easy_setopt(state_->easy, CURLOPT_WRITEDATA, state_.get());
  ::curl_easy_setopt(state_->easy, CURLOPT_READFUNCTION, &State::read);
  ::curl_easy_setopt(state_->easy, CURLOPT_READDATA, state_.get());
}

RawCurl::~RawCurl() { ::curl_easy_cleanup(state_->easy); }

void RawCurl::perform(const std::string& url, const std::vector<net::Header>& headers) {
  curl_slist* list = ::curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : headers) list = ::curl_slist_append(list, (name + ": " + value).c_str());
  ::curl_easy_setopt(state_->easy, CURLOPT_HTTPHEADER, list);
  ::curl_easy_setopt(state_->easy, CURLOPT_URL, url.c_str());
  state_->got = state_->sent = 0;
  const CURLcode code = ::curl_easy_perform(state_->easy);
  ::curl_slist_free_all(list);
  if (code != CURLE_OK) throw std::runtime_error(std::string("libcurl: ") + ::curl_easy_strerror(code));
}

std::size_t RawCurl::get(const std::string& url, const std::vector<net::Header>& headers) {
  ::curl_easy_setopt(state_->easy, CURLOPT_HTTPGET, 1L);
  perform(url, headers);
  return state_->got;
}

void RawCurl::put(const std::string& url, std::string_view body, const std::vector<net::Header>& headers) {
  state_->body = body;
  ::curl_easy_setopt(state_->easy, CURLOPT_UPLOAD, 1L);
  ::curl_easy_setopt(state_->easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(body.size()));
  perform(url, headers);
}

}  // namespace db4::bench
