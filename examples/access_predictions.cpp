// AccessPatternTracker alone: who is read how often, in bounded memory, for a cache or tiers of your own.
#include <db4/storage.hpp>

#include <iostream>

int main() {
  using namespace std::chrono_literals;
  const auto clock = std::make_shared<db4::SimulatedClock>();
  db4::AccessPatternTracker tracker({.history_window = 7 * 24h,
                                     .cold_prediction_threshold = 3,
                                     .cold_age_threshold = 7 * 24h,
                                     .max_keys = 10'000},
                                    clock);

  tracker.record_access("pages/imprint");  // once, and never again
  for (int day = 0; day < 10; ++day) {
    for (int i = 0; i < 20; ++i) tracker.record_access("pages/home");
    if (day < 4) tracker.record_access("pages/campaign");  // it ran for four days
    clock->advance(24h);
  }

  std::cout << "home is hotter than campaign: " << std::boolalpha
            << (tracker.get_tiering_score("pages/home") > tracker.get_tiering_score("pages/campaign"))
            << "\n";
  std::cout << "an unknown page scores " << tracker.get_tiering_score("pages/nobody") << "\n";
  std::cout << "predicted cold, coldest first:";
  for (const std::string& key : tracker.predict_cold_documents()) std::cout << " " << key;
  std::cout << "\n";
}

// Output:
//   home is hotter than campaign: true
//   an unknown page scores 0
//   predicted cold, coldest first: pages/imprint pages/campaign
